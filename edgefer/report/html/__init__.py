"""Render a report as one self-contained HTML file: no network access, no other files, no framework."""
