"""The encoders that a rung can ask for: one module each, and this list of them. A new encoder is a new module and a line here.

In:   a codec as ladders name it.
Out:  its Encoder: presets, profiles, pixel formats, options, memory, threads (``encoder.py`` says what each means).
Wrong: ValueError for a codec that nothing here makes.

Ladder, plan, command, estimates of memory and time, and the check of ffmpeg all read these; none has a table of its own.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from vidpipe.encoders import svtav1, x264, x265
from vidpipe.encoders.encoder import BIT_DEPTHS, EIGHT_BITS, Encoder

_ENCODERS: tuple[Encoder, ...] = (x264.ENCODER, x265.ENCODER, svtav1.ENCODER)
"""One for each codec; errors name them in this order."""


def encoders() -> tuple[Encoder, ...]:
    """Return all encoders."""
    return _ENCODERS


def codecs() -> tuple[str, ...]:
    """Return the codecs that a rung can have."""
    return tuple(encoder.codec for encoder in _ENCODERS)


def encoder_of(codec: str) -> Encoder:
    """Return the encoder that makes a codec.  Raises ValueError."""
    for encoder in _ENCODERS:
        if encoder.codec == codec:
            return encoder
    raise ValueError(f"no encoder makes {codec!r}, only {', '.join(codecs())}")


def codec_meant(text: str) -> str | None:
    """Return the codec that somebody means who writes ``text`` for it; None if that is not known."""
    return next((encoder.codec for encoder in _ENCODERS if text.lower() in encoder.aliases), None)


Codec = Annotated[str, AfterValidator(lambda codec: encoder_of(codec).codec)]
"""A codec that there is an encoder for."""

__all__ = ["BIT_DEPTHS", "EIGHT_BITS", "Codec", "Encoder", "codec_meant", "codecs", "encoder_of", "encoders"]
