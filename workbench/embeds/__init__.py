"""Looking after embed tokens: which keys and secrets they are made with, and replacing these."""
