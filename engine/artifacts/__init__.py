"""What did a stage write? Typed records of every artifact, JSON in and out.

record       what all records have in common
tables       tables of numbers, packed
scan         the text: shape, size, quality, fertility
probe        the base on the text: fluency, pilot, price
decision     all evidence, and the decision with its path
gate         the gate's files, the base's arm, the verdict
gate_probe   how long the gate's probe trains
training     what is packed, which tokens are new, what training came to
arms         every arm beside the gate's two
shipping     the task model, the export, the report
all_stages   all of them, one field a stage
"""
