"""The rubric editor: what reviewers are asked, as a draft that leads share, and as the versions that were published."""
