"""The demo's static HTML page and its table for the terminal."""

from pipelines.flights.demo.page.html import render_page
from pipelines.flights.demo.page.terminal import render_table

__all__ = ["render_page", "render_table"]
