"""Closed captions (CEA-608 and CEA-708) that lie inside the picture's packets, in a track of their own, or in the ancillary data of MXF.

    userdata   where they are in a packet        carried   gathered while the packets pass by
    channels   whose the bytes are               screens   WebVTT of a channel
    declared   their languages, if a transport stream says them

The probe looks at every packet, because captions may begin late, and says which channels show something; the text is made later, as other
subtitles are, by one more pass over the packets. No picture is decoded for it.
"""

from vidpipe.data import Data
from vidpipe.source.facts import Shift

SAME_WORDS = {"SERVICE1": "CC1", "SERVICE2": "CC3"}
"""Services of CEA-708 that have the words, and so the language, of a channel of CEA-608 (ATSC A/65, 6.9.2; CTA-708, 4.5)."""


class CaptionRequest(Data):
    """What is asked of the child: the text of some channels.

    channels: (index of the stream, channel).  origin: seconds added to all times.
    shifts: stream index -> what makes its times continuous.
    """

    location: str
    size: int
    mtime_ns: int
    demuxer: str
    channels: tuple[tuple[int, str], ...]
    origin: int
    shifts: dict[int, tuple[Shift, ...]] = {}
