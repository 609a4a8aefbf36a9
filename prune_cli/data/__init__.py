"""Where records come from: the hub, local files, a synthetic world."""
