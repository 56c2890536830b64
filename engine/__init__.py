"""The engine: measures, decides, trains and proves. Free of torch outside of ``engine.worker``.

Packages, lowest first; each imports only what stands above it in this list:

errors redaction thresholds    one sentence a fault; masked secrets; every limit with its source
artifacts                      what each stage writes, as typed records
stages formatting files model_folder    names of stages; numbers as text; safe files; model checks
normal_form                    one key for texts that look or read the same
recipe                         what the user wants: one TOML file, validated
runs stats                     a run's folder, log and state; intervals and tests on arrays
corpus                         which text is read, and how: files into documents
quality                        how much of the text is new, and clean
gold                           the task: gold set and SFT data, and its metrics
decision                       should I? GO, NO-GO or NOT YET
gate                           was it worth it? EARNED, TIE or HURT
summary report release         a run as lines, as a page, as a folder to ship
demo preflight cache           the embedded world; checks before a worker starts; what is kept
data                           embedded texts
worker                         the process that loads models, measures, trains and judges
"""

__version__ = "0.1.0"
