"""What tests of figures look at: whether all of one is on the page, and apart."""

from matplotlib.text import Text


def assert_nothing_is_cut_off(figure):
    """Looks at where things are drawn, which needs the layout and no pixels."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 >= 0 and drawn.x1 <= width
    assert drawn.y0 >= 0 and drawn.y1 <= height


def overlapping(texts):
    """Returns the boxes of texts that have another one's over them."""
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return [a for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def smallest_letters(figure, width=400):
    """Returns the size in pixels of the smallest letters, shown so many wide."""
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
    points = min(text.get_fontsize() for text in texts if text.get_visible())
    return points / 72 * width / figure.get_size_inches()[0]
