"""The demo's static HTML page and its table for the terminal."""

from tfx_loop.pipelines.examples.flights.demo.page.html import render_page
from tfx_loop.pipelines.examples.flights.demo.page.report import RunReport, read_report
from tfx_loop.pipelines.examples.flights.demo.page.windows_table import windows_table

__all__ = ["RunReport", "read_report", "render_page", "windows_table"]
