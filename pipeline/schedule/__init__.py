"""When promotions run in the embedded mode."""
