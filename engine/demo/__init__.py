"""What does the demo show? A generated world in which CPT can be judged offline.

demo    recipe, files and start
world   the language it is written in
"""
