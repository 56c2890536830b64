"""What is the task? Gold set and SFT data into examples, and the metrics that score them.

example   one prompt with its answers
rows      rows of the files, none skipped
load      files into examples
copies    equal items in one group
draws     which rows a seed trains on, which are spare
checks    what is odd about them
metrics   an answer into a score
endpoints answers into the scores that are tested
summary   what the gate could show with them
classes   classes of items that share their choices
"""
