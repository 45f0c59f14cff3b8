"""The composition root: the only place that names concrete classes and puts the house together.

Nothing is imported here: commands that need a part of it shall not load the whole service.
"""
