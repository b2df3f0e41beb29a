"""Language models over HTTP: asked with limits, paid once, remembered on disk."""
