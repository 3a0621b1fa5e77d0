"""Numbers and pictures from predictions: arrays in, figures and tables out, no models and no loaders."""
