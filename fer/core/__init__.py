"""What every package uses: labels, errors, paths, images, the command line. Imports no other package."""
