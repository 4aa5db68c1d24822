from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from crossinit_batch.evaluation.alignment import SIDE, TEMPLATE, aligned, similarity_to_template


def moved(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """Points after a rotation, a scale and a shift."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return scale * points @ turn.T + shift


def blobs(points: np.ndarray, size: tuple[int, int], width: float) -> Image.Image:
    """A picture (width, height) with a soft blob at each point, each of another colour."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(float)
    canvas = np.zeros((size[1], size[0], 3))
    colours = np.array([(255, 40, 40), (40, 255, 40), (40, 40, 255), (255, 255, 40), (255, 40, 255)])
    for (px, py), colour in zip(points, colours, strict=True):
        canvas += np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * width**2))[..., None] * colour
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("degrees", "scale", "shift"), [(0, 1, (0, 0)), (25, 2.5, (60, 40)), (-140, 1.7, (250, 260)), (90, 0.6, (120, 20))]
)
def test_a_turned_scaled_shifted_face_comes_back_to_the_template(
    degrees: float, scale: float, shift: tuple[float, float]
) -> None:
    landmarks = moved(TEMPLATE, degrees, scale, shift)
    matrix = similarity_to_template(landmarks)
    assert np.allclose(landmarks @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-9)
    assert math.isclose(math.sqrt(np.linalg.det(matrix[:, :2])), 1 / scale, rel_tol=1e-9)


@pytest.mark.parametrize(("degrees", "scale", "shift"), [(0, 1, (0, 0)), (20, 2.2, (90, 30)), (-65, 1.6, (60, 260))])
def test_the_pixels_land_where_the_template_has_them(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    landmarks = moved(TEMPLATE, degrees, scale, shift)
    face = aligned(blobs(landmarks, (400, 400), 3 * scale), landmarks).astype(float)
    expected = np.asarray(blobs(TEMPLATE, (SIDE, SIDE), 3)).astype(float)
    assert face.shape == (SIDE, SIDE, 3)
    assert np.abs(face - expected).mean() < 1.0
    assert np.abs(face - expected).max() < 30


def test_alignment_agrees_with_an_independent_bilinear_warp() -> None:
    """Every pixel of the square, looked up by hand at the place that the matrix says, pixel centres whole numbers."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    picture = small.resize((90, 90), Image.Resampling.BICUBIC)
    landmarks = moved(TEMPLATE, 12, 0.55, (14, 4))
    matrix = np.vstack([similarity_to_template(landmarks), (0, 0, 1)])
    pixels = np.asarray(picture).astype(float)
    face = aligned(picture, landmarks).astype(float)
    for row, column in ((20, 30), (51, 38), (70, 60), (100, 90), (56, 56)):
        x, y, _ = np.linalg.inv(matrix) @ (column, row, 1)
        left, top = math.floor(x), math.floor(y)
        a, b = x - left, y - top
        square = pixels[top : top + 2, left : left + 2]
        value = (1 - b) * ((1 - a) * square[0, 0] + a * square[0, 1]) + b * ((1 - a) * square[1, 0] + a * square[1, 1])
        assert np.abs(face[row, column] - value).max() <= 1.5


def test_no_mirror_image_is_made_even_of_a_mirrored_face() -> None:
    mirrored = TEMPLATE * (-1, 1) + (112, 0)
    assert np.linalg.det(similarity_to_template(mirrored)[:, :2]) > 0


def test_beyond_the_edge_is_black() -> None:
    white = Image.new("RGB", (60, 60), "white")
    face = aligned(white, TEMPLATE)  # the face reaches beyond a picture of 60 pixels
    assert face[30, 30].tolist() == [255, 255, 255] and face[100, 100].tolist() == [0, 0, 0]


@pytest.mark.parametrize("points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan)])
def test_landmarks_that_fall_together_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="fall together"):
        similarity_to_template(points)
