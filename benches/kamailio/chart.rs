//! Charts as SVG: lines over two logarithmic axes.

use std::fmt::Write;

use super::report::{Chart, number};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Told apart by people who see colours differently too (Okabe and Ito 2008).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// A logarithmic axis; 0 has a place of its own at the lower end.
struct Axis {
    low: f64,
    high: f64,
    begin: f64,
    end: f64,
    zero: bool,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, begin: f64, end: f64) -> Self {
        let positive = values.clone().filter(|v| *v > 0.0);
        let least = positive.clone().reduce(f64::min).unwrap_or(1.0);
        let low = least.log10().floor();
        let high = positive.fold(least, f64::max).log10().ceil().max(low + 1.0);
        let zero = values.clone().any(|v| v <= 0.0);
        Axis { low: if zero { low - 1.0 } else { low }, high, begin, end, zero }
    }

    fn place(&self, value: f64) -> f64 {
        let at = if value > 0.0 { value.log10() } else { self.low };
        self.begin + (at - self.low) / (self.high - self.low) * (self.end - self.begin)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        (self.low as i32..=self.high as i32).map(|power| match self.zero {
            true if power == self.low as i32 => 0.0,
            _ => 10f64.powi(power),
        })
    }
}

fn short(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{} G", number(v / 1e9)),
        v if v >= 1e6 => format!("{} M", number(v / 1e6)),
        v if v >= 1e3 => format!("{} k", number(v / 1e3)),
        v if v == 0.0 || v >= 1.0 => number(v),
        v => format!("{v}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The chart as an SVG document.
pub fn svg(chart: &Chart) -> String {
    let points = || chart.lines.iter().flat_map(|l| l.points.iter());
    let x = Axis::new(points().map(|p| p.0), LEFT, WIDTH - RIGHT);
    let y = Axis::new(points().map(|p| p.1), HEIGHT - BOTTOM, TOP);
    let mut out = String::new();
    let mut put = |text: std::fmt::Arguments<'_>| {
        out.write_fmt(text).unwrap();
        out.push('\n');
    };
    put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">"
    ));
    put(format_args!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>"));
    let title = escape(&chart.title);
    put(format_args!("<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>"));
    for tick in x.ticks() {
        let (at, label) = (x.place(tick), short(tick));
        put(format_args!(
            "<path d=\"M{at:.1} {TOP}V{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 16.0
        ));
    }
    for tick in y.ticks() {
        let (at, label) = (y.place(tick), short(tick));
        put(format_args!(
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        ));
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    let names = (escape(chart.x), escape(chart.y));
    put(format_args!(
        "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        HEIGHT - 12.0,
        names.0,
        (TOP + HEIGHT - BOTTOM) / 2.0,
        names.1
    ));
    for (n, line) in chart.lines.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let places: Vec<String> = line
            .points
            .iter()
            .map(|(a, b)| format!("{:.1} {:.1}", x.place(*a), y.place(*b)))
            .collect();
        put(format_args!(
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            places.join("L")
        ));
        for place in &places {
            let (a, b) = place.split_once(' ').unwrap();
            put(format_args!("<circle cx=\"{a}\" cy=\"{b}\" r=\"3\" fill=\"{colour}\"/>"));
        }
        let at = TOP + 10.0 + n as f64 * 18.0;
        put(format_args!(
            "<path d=\"M{:.1} {:.1}h16\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{:.1}\" y=\"{at:.1}\">{}</text>",
            WIDTH - RIGHT + 10.0,
            at - 4.0,
            WIDTH - RIGHT + 32.0,
            escape(&line.name)
        ));
    }
    put(format_args!("</svg>"));
    out
}
