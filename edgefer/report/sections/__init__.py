"""Sections of a report as plain data, which the HTML and Markdown renderers share."""
