"""The colours of series in figures and widgets: named once, told apart by everybody.

The seven hues are those of Okabe and Ito, chosen for readers with any kind of colour vision. Brown,
indigo and a grey join them where that many lines share a figure: as a deuteranope sees them, no two
of all the colours here come closer than the two nearest of the seven. Who needs more colours than a
reader can keep apart gives lines a marker or a style besides.

Source: Okabe and Ito, Color Universal Design, 2008, https://jfly.uni-koeln.de/color/; indigo: Tol,
Colour schemes, SRON technical note EPS/TN/09-002, 2021.
"""

BLUE = "#0072b2"
VERMILION = "#d55e00"
GREEN = "#009e73"
ORANGE = "#e69f00"
PURPLE = "#cc79a7"
SKY = "#56b4e9"
BROWN = "#6b3d00"
INDIGO = "#332288"

BLACK = "#000000"
"""With `GREY` for references: what a method is compared with, not what is proposed."""
GREY = "#595959"
"""As dark as that because green and purple turn into lighter greys for a deuteranope."""

YELLOW = "#f0e442"
"""For marks on grey images alone; on white paper a yellow line is not seen."""

ON_WHITE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BROWN, INDIGO, BLACK, GREY)
"""All that may be drawn on white."""
