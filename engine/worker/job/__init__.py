"""Who am I among the processes of this run, and what was asked of me?

context       run, recipe, log, requests to stop
nested        the context of an arm's own run
stage         what a stage is; runs each once
rate          how fast work goes now, and the time left
ranks         how several processes agree
supervisor    starts and ends them
threads       how many threads to compute with
environment   variables set before imports
determinism   the same numbers each time
"""
