"""How faces lie in known sets of pictures.

Measured by `scripts/measure_crop_rule.py` on training pictures: medians over the faces found, the points made
symmetrical. `box_scale` and `box_shift` are relative to the box of OpenCV's Haar cascade, the one detector
here without points, and both are shares of its longer side; boxes of others have another shape, and their
points are used instead.
"""

from fer.bundle.card import CropRule

RULES = {
    # FER2013, 1,500 training pictures drawn by chance: points of the 1,390 faces that YuNet finds in them,
    # boxes of the 1,201 that Haar finds. Haar's box is the whole picture (longer side 0.99 of it, 0.78 to
    # 1.14 in eight of ten), which tells how the set was cut. Faces are turned by a median of 4.6 degrees
    # (one in ten by 13.5 or more), to either side alike, so an upright one is the most usual.
    "fer2013": CropRule(
        name="fer2013",
        points=((0.321, 0.395), (0.679, 0.395), (0.5, 0.593), (0.348, 0.742), (0.652, 0.742)),
        upright=True,
        box_scale=1.0,
        box_shift=0.0,
    ),
    # The drawn faces: true points of 600, Haar's boxes of 591. Turned by a median of 5.1 degrees either way.
    "synthetic": CropRule(
        name="synthetic",
        points=((0.373, 0.525), (0.627, 0.525), (0.5, 0.654), (0.385, 0.779), (0.615, 0.779)),
        upright=True,
        box_scale=1.37,
        box_shift=-0.1,
    ),
    # For sets that nobody measured: the detector's box, made square. Measure them rather.
    "whole": CropRule(name="whole", points=(), upright=False, box_scale=1.0, box_shift=0.0),
}
