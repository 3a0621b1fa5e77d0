"""Crop rules of known data sets: the position of the face in their images.

Measured by `scripts/measure_crop_rule.py` on training images. `box_scale` and `box_shift` are fractions of
the longer side of a detector's box.
"""

from fer.bundle.card import UNMEASURED, CropRule

CROP_RULES = {
    # FER2013 was cropped by a detector's boxes, so the rule uses boxes too (docs/decisions/0010). In a random
    # sample of 1,500 training images, enlarged, the side of the image is 1.01 times that of Haar's box, 1.00
    # times YuNet's and 0.94 times MTCNN's, and its center is 0.003 to 0.010 above theirs.
    "fer2013": CropRule(name="fer2013", points=(), upright=True, box_scale=0.98, box_shift=-0.01),
    # Synthetic faces: true landmarks of 600, Haar's boxes of 591. The median absolute roll is 5.1 degrees.
    "synthetic": CropRule(
        name="synthetic",
        points=((0.373, 0.525), (0.627, 0.525), (0.5, 0.654), (0.385, 0.779), (0.615, 0.779)),
        upright=True,
        box_scale=1.37,
        box_shift=-0.1,
    ),
    # For data sets that were not measured: the detector's box, made square. Prefer a measured rule.
    UNMEASURED: CropRule(name=UNMEASURED, points=(), upright=False, box_scale=1.0, box_shift=0.0),
}
