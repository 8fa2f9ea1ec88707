"""The work space: artifacts, job notes, fetched copies, locks. The one package that spells its tree."""
