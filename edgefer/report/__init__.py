"""Render results as terminal text, Markdown tables, one HTML page and model cards.

The package reads the JSON records that other commands write with ``--out`` and computes no results. A caller can add
kinds of records (``readers`` of loading.read_results), sections (``parts`` of sections.report.build_report) and blocks
of a model card (``board_notes`` of model_card.card).
"""
