"""A static web page that runs a bundle in the browser. No torch."""
