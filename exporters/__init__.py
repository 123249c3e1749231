"""File formats: plain values in, files out. `README.md` beside this file states the folder's rule."""
