"""Offer the sprite sheets as pictures of the time line: thumbnail_tile of the DASH-IF (IOP 4.3, 6.2.6).

In:   an Inventory.
Out:  their AdaptationSet; None for pictures of which nobody measured how they lie.
Wrong: nothing.

Every sheet spans the same time, as a constant @duration says it, which is what players know; the last one, which may be smaller, ends with
the Period. Its sprites lie where they would lie on a full one.
"""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

from vidpipe.inventory.model import Inventory
from vidpipe.manifest.dash.markup import element
from vidpipe.manifest.dash.timeline import template

THUMBNAIL_TILE = "http://dashif.org/guidelines/thumbnail_tile"


def picture_set(inventory: Inventory) -> Element | None:
    """Return the AdaptationSet of the sprite sheets."""
    pictures = inventory.pictures
    sprites = pictures.sprites if pictures else None
    if pictures is None or sprites is None:
        return None
    seconds = sprites.interval * sprites.columns * sprites.rows
    shown = min(seconds, inventory.duration)  # by a single sheet, perhaps not all of it
    return element(
        "AdaptationSet",
        element(
            "Representation",
            element("EssentialProperty", schemeIdUri=THUMBNAIL_TILE, value=f"{sprites.columns}x{sprites.rows}"),
            element(
                "SegmentTemplate",
                timescale=seconds.denominator,
                duration=seconds.numerator,
                media=template(pictures.sheets),
                startNumber=1,
            ),
            id="thumbnails",
            width=sprites.width * sprites.columns,
            height=sprites.height * sprites.rows,
            bandwidth=math.ceil(8 * sprites.largest / shown),
        ),
        contentType="image",
        mimeType="image/jpeg",
    )
