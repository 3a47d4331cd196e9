"""Installing under systemd: which files, made of which templates, and putting them where they belong."""
