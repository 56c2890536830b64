"""What happened, on paper? report.md and report.html.

report       writes both files
front_page   verdict, certainty, price, next step
evidence     what was read and measured
training     what was packed, what training came to
gate         every number of the verdict
vocabulary   what new tokens did
appendix     all else that was done
charts       drawings as SVG
markdown     strangers' text made inert
html         the page as one file
"""
