"""What people touch: the command line, and later notebooks and dashboards."""
