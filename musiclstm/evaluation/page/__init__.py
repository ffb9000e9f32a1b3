"""An evaluation as one page that opens offline: tables, charts, and samples to look at and to play."""

from __future__ import annotations

from musiclstm.evaluation.page.html import Sample, page

__all__ = ["Sample", "page"]
