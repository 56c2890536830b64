"""How is a recipe written for people?

reference     every key as Markdown
spelled_out   every effective value, for a person who owns the file
"""
