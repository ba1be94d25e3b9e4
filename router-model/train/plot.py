"""The choice among many models as SVG: quality against price, the frontier of the router and each model alone."""
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 460, 60, 30, 40, 50
INK, GRID, ROUTER, ALONE = "#222", "#ddd", "#0b6bcb", "#b3441e"


def best_of(points):
    """Points that no other beats in both, by rising price."""
    kept = []
    for quality, price in sorted(points, key=lambda point: (point[1], -point[0])):
        if not kept or quality > kept[-1][0]:
            kept.append((quality, price))
    return kept


def text(x, y, words, anchor="middle", ink=INK):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{ink}">{escape(words)}</text>'


def frontier(points, models):
    """`points` are (quality, price) of the router, `models` (name, quality, price)."""
    line = best_of(points)
    most = 1.08 * max(price for _, _, price in models)
    low = min(quality for _, quality, _ in models) - 0.02
    high = max([quality for quality, _ in line] + [quality for _, quality, _ in models]) + 0.02
    across = lambda price: LEFT + (WIDTH - LEFT - RIGHT) * price / most
    up = lambda quality: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (quality - low) / (high - low)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
             text(WIDTH / 2, 22, "Quality against price: each model alone, and the router's choice among them, out of fold")]
    for step in range(0, int(most) + 1, 10):
        parts += [f'<path d="M{across(step):.0f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GRID}"/>',
                  text(across(step), HEIGHT - BOTTOM + 18, str(step))]
    for step in range(int(low * 20) + 1, int(high * 20) + 1):
        parts += [f'<path d="M{LEFT} {up(step / 20):.0f}H{WIDTH - RIGHT}" stroke="{GRID}"/>',
                  text(LEFT - 8, up(step / 20) + 4, f"{step / 20:.2f}", "end")]
    parts.append(text(WIDTH / 2, HEIGHT - 12, "mean price of a request (billions of parameters)"))
    path = " ".join(f"{across(price):.1f},{up(quality):.1f}" for quality, price in line)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{ROUTER}" stroke-width="2.5"/>')
    parts.append(text(across(line[-1][1]), up(line[-1][0]) - 8, "router", ink=ROUTER))
    free = {"start": 0, "end": 0}
    for name, quality, price in sorted(models, key=lambda model: -model[1]):
        parts.append(f'<circle cx="{across(price):.1f}" cy="{up(quality):.1f}" r="4" fill="{ALONE}"/>')
        side, beside = ("end", -8) if price > 0.75 * most else ("start", 8)
        # Labels of one side never overlap: the lower one moves down.
        at = max(up(quality) + 4, free[side])
        free[side] = at + 13
        parts.append(text(across(price) + beside, at, str(name), side, ALONE))
    return "\n".join([*parts, "</svg>", ""])
