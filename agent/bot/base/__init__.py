"""What all rooms use: text, names, files, time, configuration and log."""
