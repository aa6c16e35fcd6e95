/* Draws each canvas with the attribute data-chart from the JSON of that id; see charts.py. */
"use strict";

const COLOURS = [
  "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377",
  "#777777", "#ee7733", "#009988", "#882255", "#999933", "#332288",
];

function drawn(canvas) {
  const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
  const text = getComputedStyle(document.body).color;
  const axis = (title) => ({
    title: { display: title !== "", text: title, color: text },
    ticks: { color: text },
  });
  const datasets = data.lines.map((line, number) => ({
    label: line.name,
    data: line.values,
    borderColor: COLOURS[number % COLOURS.length],
    backgroundColor: COLOURS[number % COLOURS.length],
    // After all colours were used, lines are dashed.
    borderDash: number < COLOURS.length ? [] : [6, 3],
    borderWidth: 2,
    pointRadius: 2,
    spanGaps: false,
  }));
  return new Chart(canvas, {
    type: "line",
    data: { labels: data.labels, datasets: datasets },
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "nearest", intersect: false },
      scales: { x: axis(data.label_title), y: { ...axis(data.value_title), beginAtZero: true } },
      plugins: { legend: { position: "bottom", labels: { color: text } } },
    },
  });
}

document.querySelectorAll("canvas[data-chart]").forEach((canvas) => {
  drawn(canvas);
  canvas.dataset.drawn = "yes";
});
