"""From a file's numbers and what the file says of them to sRGB."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from sama_core.image_files.colour_space import RgbSpace, UnusableProfile, lab_to_srgb, model_of, of_profile
from sama_core.image_files.samples import DecodedFile, Samples, eight_bits

_KINDS = {"rgb": "RGB", "grey": "grey", "cmyk": "CMYK", "Lab": "L*a*b*"}


def to_srgb(picture: DecodedFile) -> np.ndarray:
    """Return the picture's colours as H×W×3 uint8 sRGB; what cannot be honoured goes into its notes."""
    samples = picture.samples
    if samples.model == "lab":
        return lab_to_srgb(samples.levels)
    # of several notes on one thing, the profile's
    instead = "look only about right" if samples.model == "cmyk" else "are taken as sRGB"
    if picture.profile:
        try:
            return _by_profile(samples, picture.profile)
        except _Unsuited as error:
            picture.notes.append(f"The picture's colour profile {error}; it is left out, and its colours {instead}.")
    elif samples.model == "cmyk":
        picture.notes.append(f"The picture is CMYK and has no colour profile; its colours {instead}.")
    elif picture.space is not None:
        return _by_space(samples, picture.space)
    return as_they_are(samples)


def as_they_are(samples: Samples) -> np.ndarray:
    """Return H×W×3 uint8 with grey and RGB levels taken as sRGB, and inks as if they were ideal."""
    if samples.model == "lab":
        return lab_to_srgb(samples.levels)
    levels = eight_bits(samples.levels)
    if samples.model == "cmyk":
        return np.array(_pillow(levels, "CMYK").convert("RGB"))
    return np.array(np.broadcast_to(levels, (*levels.shape[:2], 3)))


class _Unsuited(Exception):
    """`str()` goes on from “The picture's colour profile”."""


def _by_profile(samples: Samples, profile: bytes) -> np.ndarray:
    try:
        model, space = model_of(profile), of_profile(profile)
    except UnusableProfile:
        raise _Unsuited("is damaged") from None
    # Grey is where red, green and blue are equal.
    if samples.model != model and not (samples.model == "grey" and model == "rgb"):
        raise _Unsuited(f"is made for {_KINDS.get(model, model)} pictures, not for {_KINDS[samples.model]} ones")
    if space is not None:
        return _by_space(samples, space)
    levels = eight_bits(samples.levels)
    if samples.model == "grey":
        image = _pillow(levels[..., 0], "L")
        image = image.convert("RGB") if model == "rgb" else image
    else:
        image = _pillow(levels, samples.model.upper())
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        raise _Unsuited("cannot be used") from None
    assert converted is not None
    return np.array(converted)


def _by_space(samples: Samples, space: RgbSpace) -> np.ndarray:
    if space.is_srgb():
        return as_they_are(samples)
    return space.to_srgb(np.broadcast_to(samples.levels, (*samples.levels.shape[:2], 3)))


def _pillow(levels: np.ndarray, mode: str) -> Image.Image:
    height, width = levels.shape[:2]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(levels))  # pyright: ignore[reportArgumentType]
