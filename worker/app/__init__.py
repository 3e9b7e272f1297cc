"""The app: found, loaded, recognised; what it says is checked, what it raises is shown."""
