"""A drift report as one static HTML page."""

from tfx_loop.monitoring.drift.page.report_page import PAGE_FILE, render

__all__ = ["PAGE_FILE", "render"]
