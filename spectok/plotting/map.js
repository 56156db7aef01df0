// What a click on the map shows. Words of the table are words, whatever they look like.
const safe = (text) => String(text).replace(/[&<>"']/g, (one) => "&#" + one.charCodeAt(0) + ";");
const row = source.selected.indices[0];
if (row === undefined) {
    ring.data = {x: [], y: [], size: [], width: []};
    small.visible = false;
    detail.text = "Click on a spectrum to see more of it.";
} else {
    if (source.selected.indices.length > 1) source.selected.indices = [row];
    const lines = columns.map((one) =>
        `<tr><td style="color:#666;padding-right:8px">${safe(one)}</td>` +
        `<td>${safe(source.data["text " + one][row])}</td></tr>`);
    let text = `<b>${safe(names[row])}</b><table>${lines.join("")}</table>`;
    if (links[row]) {
        text += `<p><a href="${safe(links[row])}" target="_blank" rel="noopener">` +
            `${safe(links[row])}</a></p>`;
    }
    const [near, far] = neighbours[row] || [[], []];
    if (near.length) {
        const others = near.map((one, k) => {
            const known = columns.filter((c) => c === "class" || c === "redshift")
                .map((c) => safe(source.data["text " + c][one])).join(", ");
            return `<li>${safe(names[one])}${known ? ": " + known : ""} (${far[k]})</li>`;
        });
        text += `<div>Nearest by embedding, ringed (1 &minus; cosine):</div>` +
            `<ol style="margin:2px 0;padding-left:20px">${others.join("")}</ol>`;
    }
    detail.text = text;
    const at = [row, ...near];
    ring.data = {
        x: at.map((one) => source.data.x[one]),
        y: at.map((one) => source.data.y[one]),
        size: at.map((one) => size + (one === row ? 9 : 5)),
        width: at.map((one) => one === row ? 2.5 : 1),
    };
    const curve = curves instanceof Map ? curves.get(String(row)) : curves[String(row)];
    small.visible = curve !== undefined;
    if (curve !== undefined) {
        picture.data = {x: curve[0], y: curve[1].map((one) => one === null ? NaN : one)};
    }
}
