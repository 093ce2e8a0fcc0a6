// Lines of the last 15 minutes. A chart is made once; its paths change.

import { attr, el, text } from './dom.js';
import { minute, time } from './format.js';

// spans are how many minutes a chart may show: no more than there is something of.
const spans = [3, 5, 10, 15];
const height = 168;
const margin = { left: 54, right: 10, top: 12, bottom: 24 };

// nice is a round number at or above n, to divide an axis by; its half is to be whole where
// there are no parts.
function nice(n, whole) {
  if (whole && n <= 6) return Math.max(2, 2 * Math.ceil(n / 2));
  if (!(n > 0)) return 1;
  const step = 10 ** Math.floor(Math.log10(n));
  for (const m of [1, 1.2, 1.6, 2, 3, 4, 6, 8, 10]) if (m * step >= n) return m * step;
  return 10 * step;
}

// Charts that lie together show the same moment under the pointer.
export class Together {
  constructor() { this.charts = []; this.at = null; }

  add(chart) { this.charts.push(chart); }

  point(at) {
    this.at = at;
    for (const c of this.charts) c.point(at);
  }
}

// Chart draws series {label, tone, area, of(sample)}; of returns a number, or null for
// none. Stacked series lie on each other; those of whole numbers have whole ones at the axis.
export class Chart {
  constructor({ title, series, format, stacked = false, whole = false, together }) {
    Object.assign(this, { series, format, stacked, whole, together, samples: [], events: [], size: 0 });
    this.grid = el('g', { class: 'grid' });
    this.marks = el('g', { class: 'marks' });
    this.lines = el('g');
    this.cursor = el('line', { class: 'cursor', y1: margin.top, y2: height - margin.bottom, visibility: 'hidden' });
    this.svg = el('svg', { role: 'img', tabindex: 0, height, on: {
      pointermove: (e) => this.hover(e), pointerleave: () => together.point(null),
      keydown: (e) => this.key(e), blur: () => together.point(null),
    } }, this.grid, this.marks, this.lines, this.cursor);
    this.legend = el('dl', { class: 'legend' });
    this.when = el('span', { class: 'when' });
    this.root = el('section', { class: 'card chart' }, el('h2', {}, title, this.when), this.legend, this.svg);
    this.title = title;
    this.setSeries(series);
    together.add(this);
    new ResizeObserver(() => this.resize()).observe(this.root);
  }

  // setSeries changes the series; those of the same labels keep their lines.
  setSeries(series) {
    const same = this.values && series.length === this.series.length && series.every((s, i) => s.label === this.series[i].label);
    this.series = series;
    if (same) return;
    this.values = series.map((s) => {
      const value = el('dd');
      return { value, root: el('div', { 'data-tone': s.tone }, el('dt', {}, s.label), value) };
    });
    this.legend.replaceChildren(...this.values.map((v) => v.root));
    this.paths = series.map((s) => ({
      area: el('path', { class: 'area', 'data-tone': s.tone, visibility: s.area || this.stacked ? null : 'hidden' }),
      line: el('path', { class: s.dashed ? 'stroke dashed' : 'stroke', 'data-tone': s.tone }),
    }));
    this.lines.replaceChildren(...this.paths.flatMap((p) => [p.area, p.line]));
  }

  resize() {
    const size = Math.floor(this.svg.getBoundingClientRect().width);
    if (size === this.size || size === 0) return;
    this.size = size;
    attr(this.svg, 'viewBox', `0 0 ${size} ${height}`);
    this.draw();
  }

  update(samples, events) {
    this.samples = samples;
    this.events = events;
    this.draw();
  }

  draw() {
    if (this.size === 0) return;
    const end = this.samples.length ? new Date(this.samples.at(-1).at).getTime() : Date.now();
    this.end = end;
    const first = this.samples.length ? new Date(this.samples[0].at).getTime() : end;
    const minutes = spans.find((m) => end - first < m * 60000) ?? spans.at(-1);
    const span = minutes * 60000;
    this.span = span;
    const points = this.samples.map((s) => ({ at: new Date(s.at).getTime(), values: this.series.map((x) => x.of(s)) })).filter((p) => p.at >= end - span);
    this.points = points;
    if (this.stacked) {
      for (const p of points) {
        let sum = 0;
        p.tops = p.values.map((v) => (sum += v || 0));
      }
    }
    const most = Math.max(0, ...points.flatMap((p) => (p.tops || p.values).filter((v) => v !== null)));
    this.top = nice(most * 1.02, this.whole); // so that a line at the top is seen
    this.axes();
    this.series.forEach((s, i) => {
      const top = points.map((p) => (p.tops ? p.tops[i] : p.values[i]));
      const base = points.map((p) => (p.tops && i > 0 ? p.tops[i - 1] : 0));
      attr(this.paths[i].line, 'd', this.path(points, top));
      if (s.area || this.stacked) attr(this.paths[i].area, 'd', this.under(points, top, base));
    });
    this.drawMarks();
    this.point(this.together.at);
    const now = points.at(-1);
    const said = this.series.map((s, i) => `${s.label} ${now && now.values[i] !== null ? this.format(now.values[i]) : 'none'}`).join(', ');
    attr(this.svg, 'aria-label', `${this.title}, the last ${minutes} minutes. Now: ${said}. Arrow keys move through the time.`);
  }

  x(at) { return margin.left + ((at - this.end + this.span) / this.span) * (this.size - margin.left - margin.right); }

  y(value) { return height - margin.bottom - (value / this.top) * (height - margin.top - margin.bottom); }

  path(points, values) {
    let d = '';
    let before = null;
    points.forEach((p, i) => {
      if (values[i] === null) { before = null; return; }
      const gap = before === null || p.at - before > 20000;
      d += `${gap ? 'M' : 'L'}${this.x(p.at).toFixed(1)} ${this.y(values[i]).toFixed(1)}`;
      before = p.at;
    });
    return d;
  }

  under(points, top, base) {
    if (points.length < 2) return '';
    const there = points.map((p, i) => `${this.x(p.at).toFixed(1)} ${this.y(top[i] || 0).toFixed(1)}`);
    const back = points.map((p, i) => `${this.x(p.at).toFixed(1)} ${this.y(base[i] || 0).toFixed(1)}`).reverse();
    return `M${there.join('L')}L${back.join('L')}Z`;
  }

  axes() {
    const parts = [];
    for (let i = 0; i <= 2; i += 1) {
      const value = (this.top * i) / 2;
      parts.push(el('line', { x1: margin.left, x2: this.size - margin.right, y1: this.y(value), y2: this.y(value) }),
        el('text', { x: margin.left - 8, y: this.y(value) + 4, 'text-anchor': 'end' }, this.format(value)));
    }
    const minutes = this.span / 60000;
    const every = 60000 * Math.max(1, Math.round(minutes / (this.size < 420 ? 3 : 5)));
    // On whole minutes, as the labels have no seconds; none that the right edge would cut.
    for (let at = Math.ceil((this.end - this.span) / every) * every; this.x(at) < this.size - 18; at += every) {
      parts.push(el('text', { x: this.x(at), y: height - 6, 'text-anchor': 'middle' }, minute(at)));
    }
    this.grid.replaceChildren(...parts);
  }

  // drawMarks marks what happened; what lies close together is one mark, as bad as the worst
  // of it. What is no trouble has no line through the chart.
  drawMarks() {
    const groups = [];
    const sorted = this.events.map((e) => ({ ...e, time: new Date(e.at).getTime() })).sort((a, b) => a.time - b.time);
    for (const e of sorted) {
      if (e.time < this.end - this.span || e.time > this.end + 5000) continue;
      const x = this.x(Math.min(e.time, this.end));
      const last = groups.at(-1);
      if (last && x - last.x < 9) {
        last.words.push(`${time(e.at)} ${e.text}`);
        last.worst = Math.max(last.worst, severities.indexOf(e.severity));
      } else groups.push({ x, words: [`${time(e.at)} ${e.text}`], worst: severities.indexOf(e.severity) });
    }
    this.marks.replaceChildren(...groups.map(({ x, words, worst }) => el('g', { 'data-tone': tones[severities[worst]] },
      worst > 0 ? el('line', { x1: x, x2: x, y1: margin.top, y2: height - margin.bottom }) : null,
      el('polygon', { points: `${x - 4},${margin.top - 8} ${x + 4},${margin.top - 8} ${x},${margin.top - 1}` }),
      el('title', {}, words.join('\n')))));
  }

  hover(e) {
    const box = this.svg.getBoundingClientRect();
    const part = (e.clientX - box.left - margin.left) / (box.width - margin.left - margin.right);
    this.together.point(this.end - this.span + part * this.span);
  }

  key(e) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!step || !this.points?.length) return;
    e.preventDefault();
    const i = this.together.at === null ? this.points.length - 1 : this.nearest(this.together.at) + step;
    this.together.point(this.points[Math.max(0, Math.min(this.points.length - 1, i))].at);
  }

  nearest(at) {
    let best = 0;
    this.points.forEach((p, i) => { if (Math.abs(p.at - at) < Math.abs(this.points[best].at - at)) best = i; });
    return best;
  }

  // point shows the figures of a moment; null shows those of now.
  point(at) {
    const p = this.points?.length ? this.points[at === null ? this.points.length - 1 : this.nearest(at)] : null;
    this.series.forEach((s, i) => text(this.values[i].value, p && p.values[i] !== null ? this.format(p.values[i]) : '–'));
    text(this.when, at === null || !p ? '' : time(p.at));
    attr(this.cursor, 'visibility', at === null || !p ? 'hidden' : null);
    if (p) {
      attr(this.cursor, 'x1', this.x(p.at));
      attr(this.cursor, 'x2', this.x(p.at));
    }
  }
}

// tones are the colours of how bad an event is.
const severities = ['info', 'warning', 'error'];
export const tones = { info: 'good', warning: 'warn', error: 'bad' };
