"""How faces lie in known sets of pictures.

Measured by `scripts/measure_crop_rule.py` on training pictures. `box_scale` and `box_shift` are shares of the
longer side of a detector's box.
"""

from fer.bundle.card import UNMEASURED, CropRule

RULES = {
    # FER2013 was cut by a detector's boxes, and so it is again (docs/decisions/0010). On 1,500 training
    # pictures drawn by chance, enlarged, a picture is 1.01 times as long as Haar's box, 1.00 times YuNet's,
    # and 0.94 times MTCNN's, its centre 0.003 to 0.010 above theirs.
    "fer2013": CropRule(name="fer2013", points=(), upright=True, box_scale=0.98, box_shift=-0.01),
    # The drawn faces: true points of 600, Haar's boxes of 591. Turned by a median of 5.1 degrees either way.
    "synthetic": CropRule(
        name="synthetic",
        points=((0.373, 0.525), (0.627, 0.525), (0.5, 0.654), (0.385, 0.779), (0.615, 0.779)),
        upright=True,
        box_scale=1.37,
        box_shift=-0.1,
    ),
    # For sets that nobody measured: the detector's box, made square. Measure them rather.
    UNMEASURED: CropRule(name=UNMEASURED, points=(), upright=False, box_scale=1.0, box_shift=0.0),
}
