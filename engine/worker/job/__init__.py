"""Who am I among the processes of this run, and what was asked of me?

context       run, recipe, log, requests to stop
nested        the context of an arm's own run
stage         runs a stage once
ranks         how several processes agree
supervisor    starts and ends them
environment   variables set before imports
"""
