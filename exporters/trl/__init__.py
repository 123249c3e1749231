"""Formats for TRL's trainers. https://huggingface.co/docs/trl/dataset_formats"""
