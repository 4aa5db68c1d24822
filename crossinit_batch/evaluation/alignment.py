"""A found face → the 112-pixel square that recognition networks were trained on (the five-point template)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crossinit_batch.digest import digest_of

SIDE = 112
"""Side of an aligned face in pixels."""

TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
"""Where the two eyes, the nose tip and the corners of the mouth belong, left ones first as a viewer sees them;
the template of ArcFace (Deng et al., CVPR 2019). Pixel centres are integers."""

TEMPLATE_DIGEST = digest_of("template", {"points": TEMPLATE.tolist(), "side": SIDE})


def similarity_to_template(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """The 2 x 3 matrix of the rotation, scale and shift that brings five points (5, 2) closest to the template.

    Least squares without mirroring (Umeyama, 1991). ValueError for points that fall together.
    """
    source, target = np.asarray(landmarks, dtype=np.float64), TEMPLATE
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    spread = float(((source - centre) ** 2).sum()) / len(source)
    if not np.isfinite(source).all() or spread < 1e-8:
        raise ValueError("the landmarks of a face fall together")
    u, scales, vt = np.linalg.svd((target - goal).T @ (source - centre) / len(source))
    proper = np.array([1.0, float(np.sign(np.linalg.det(u) * np.linalg.det(vt)))])
    rotation = u @ np.diag(proper) @ vt
    scale = float(scales @ proper) / spread
    return np.hstack([scale * rotation, (goal - scale * rotation @ centre)[:, None]])


def aligned(image: Image.Image, landmarks: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The face with these landmarks (5, 2) as RGB pixels (112, 112, 3), bilinear, black beyond the picture's edge."""
    matrix = similarity_to_template(landmarks)
    linear = np.linalg.inv(matrix[:, :2])
    # Pillow samples at (x + ½, y + ½) of both pictures, the template's pixel centres are integers.
    offset = -linear @ matrix[:, 2] + 0.5 - linear @ np.array([0.5, 0.5])
    (a, b), (d, e) = linear.tolist()
    data = (a, b, float(offset[0]), d, e, float(offset[1]))
    warped = image.transform((SIDE, SIDE), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    return np.asarray(warped)
