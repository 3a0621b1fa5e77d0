"""Matplotlib figures. Every function returns a ``Figure``.

They are drawn with matplotlib's object-oriented API, without pyplot and without changes to ``rcParams``, so
several threads may draw at once.
"""
