#include "broker/cli/html.h"

#include "common/text_table.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 640, HEIGHT = 150, BINS = 40, LABEL = 16 };

static const char head[] =
    "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    "<style>\n"
    ":root{--ink:#1b1f24;--soft:#5b6470;--line:#d8dde3;--paper:#fff;--bar:#3b6ea8;--less:#3b6ea8;--more:#b5543c}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--soft:#9aa4b0;--line:#39414a;--paper:#15181c;--bar:#6a9fd8;"
    "--less:#6a9fd8;--more:#e08a70}}\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;"
    "padding:0 1rem}\n"
    "h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem;border-top:1px solid var(--line);padding-top:1rem}\n"
    "h3{font-size:1rem;margin:1.5rem 0 .3rem}h3 small,p.sub,td.sub{color:var(--soft);font-weight:normal;font-size:.85rem}\n"
    "table{border-collapse:collapse;font-size:.85rem}th,td{padding:.15rem .7rem .15rem 0;text-align:left;vertical-align:top;"
    "border-bottom:1px solid var(--line)}td.num{text-align:right;font-variant-numeric:tabular-nums}\n"
    "td,li,p{overflow-wrap:anywhere}div.wide{overflow-x:auto}li{margin:.25rem 0}svg{display:block;max-width:100%}svg text{font:11px system-ui,sans-serif;"
    "fill:var(--soft)}.bar{fill:var(--bar)}.axis{stroke:var(--line)}.less{fill:var(--less)}.more{fill:var(--more)}\n"
    "</style>\n";

void mr_html_text(mr_buf *out, mr_span text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '<') mr_buf_text(out, "&lt;");
        else if (c == '>') mr_buf_text(out, "&gt;");
        else if (c == '&') mr_buf_text(out, "&amp;");
        else if (c == '"') mr_buf_text(out, "&quot;");
        else mr_buf_put(out, c < 0x20 ? " " : (const char *)&c, 1);
    }
}

void mr_html_begin(mr_buf *out, const char *title) {
    mr_buf_text(out, "<!doctype html>\n<html lang=\"en\"><head><title>");
    mr_html_text(out, mr_span_of(title));
    mr_buf_text(out, "</title>");
    mr_buf_text(out, head);
    mr_buf_text(out, "</head><body>\n<h1>");
    mr_html_text(out, mr_span_of(title));
    mr_buf_text(out, "</h1>\n");
}

void mr_html_end(mr_buf *out) { mr_buf_text(out, "</body></html>\n"); }

static void label(mr_buf *out, double x, double y, const char *anchor, double v) {
    char text[32];
    mr_text_number(v, text);
    mr_buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>", x, y, anchor, text);
}

static void open_plot(mr_buf *out) {
    mr_buf_printf(out, "<svg role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">", WIDTH, HEIGHT + 2 * LABEL, WIDTH,
                  HEIGHT + 2 * LABEL);
}

/* n bars side by side between `low` and `high`, which hold 0. */
static void put_bars(mr_buf *out, const double *v, size_t n, double low, double high) {
    double width = (double)WIDTH / (double)n, scale = high > low ? HEIGHT / (high - low) : 0;
    for (size_t i = 0; i < n; i++) {
        double top = v[i] > 0 ? v[i] : 0, bottom = v[i] > 0 ? 0 : v[i];
        mr_buf_printf(out, "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                      (double)i * width + 0.5, LABEL + (high - top) * scale, width > 1.5 ? width - 1 : width,
                      (top - bottom) * scale);
    }
    mr_buf_printf(out, "<line class=\"axis\" x1=\"0\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", WIDTH, LABEL + high * scale,
                  LABEL + high * scale);
}

static void range(const double *v, size_t n, double *low, double *high) {
    *low = *high = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i] < *low) *low = v[i];
        if (v[i] > *high) *high = v[i];
    }
}

void mr_html_columns(mr_buf *out, const double *v, size_t n) {
    double low, high;
    range(v, n, &low, &high);
    open_plot(out);
    put_bars(out, v, n, low, high);
    label(out, 0, LABEL - 4, "start", high);
    if (low < 0) label(out, 0, HEIGHT + 2 * LABEL - 4, "start", low);
    mr_buf_text(out, "</svg>\n");
}

void mr_html_histogram(mr_buf *out, const double *v, size_t n) {
    double least = v[0], most = v[0], bins[BINS] = {0};
    bool whole = true;
    for (size_t i = 0; i < n; i++) {
        least = fmin(least, v[i]);
        most = fmax(most, v[i]);
        whole &= v[i] == floor(v[i]);
    }
    double span = most - least;
    size_t count = whole && span < BINS ? (size_t)span + 1 : BINS;
    for (size_t i = 0; i < n; i++) {
        double at = span == 0 ? 0 : count < BINS ? v[i] - least : (v[i] - least) / span * BINS;
        bins[at >= (double)count ? count - 1 : (size_t)at]++;
    }
    double low, high;
    range(bins, count, &low, &high);
    open_plot(out);
    put_bars(out, bins, count, 0, high);
    label(out, 0, LABEL - 4, "start", high);
    label(out, 0, HEIGHT + 2 * LABEL - 4, "start", least);
    label(out, WIDTH, HEIGHT + 2 * LABEL - 4, "end", most);
    mr_buf_text(out, "</svg>\n");
}

void mr_html_share(mr_buf *out, double share) {
    double part = share < 0 ? 0 : share > 1 ? 1 : share;
    mr_buf_printf(out, "<svg width=\"120\" height=\"10\"><rect class=\"axis\" width=\"120\" height=\"10\" fill=\"none\"/>"
                       "<rect class=\"bar\" width=\"%.1f\" height=\"10\"/></svg>", 120 * part);
}

void mr_html_heat(mr_buf *out, const double *v, size_t rows, size_t cols) {
    double low, high, side = fmin(18, (double)WIDTH / (double)cols);
    range(v, rows * cols, &low, &high);
    double reach = fmax(-low, high);
    mr_buf_printf(out, "<svg role=\"img\" width=\"%.0f\" height=\"%.0f\">", side * (double)cols, side * (double)rows);
    for (size_t i = 0; i < rows * cols && reach > 0; i++)
        mr_buf_printf(out, "<rect class=\"%s\" opacity=\"%.3f\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                      v[i] < 0 ? "less" : "more", fabs(v[i]) / reach, side * (double)(i % cols), side * (double)(i / cols),
                      side, side);
    mr_buf_text(out, "</svg>\n");
}
