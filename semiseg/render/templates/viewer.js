"use strict";

if (document.getElementById("viewer-data")) {
  const { classes, colors, cases } = JSON.parse(document.getElementById("viewer-data").textContent);
  const names = ["case", "previous", "next", "about", "slice", "number", "opacity", "percent", "panels", "note",
    "side", "slices"];
  const ui = Object.fromEntries(names.map((name) => [name, document.getElementById(`viewer-${name}`)]));
  const gap = Math.floor(255 / Math.max(classes.length - 1, 1)); // between the grays of two classes
  let current = null; // the case that is shown: { data, base, panels }
  let wanted = 0;

  /* The pixels of a picture: (height × width × 4) bytes, red, green, blue and opacity. */
  async function decode(uri) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height).data;
  }

  /* The class of each pixel of a label map. */
  function classesOf(pixels) {
    const indices = new Uint8Array(pixels.length / 4);
    for (let pixel = 0; pixel < indices.length; pixel++) indices[pixel] = Math.round(pixels[4 * pixel] / gap);
    return indices;
  }

  function makePanel(data, title, labels) {
    const figure = document.createElement("figure");
    const frame = document.createElement("div");
    const canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    frame.className = data.picture ? "frame" : "frame sides"; // R and L of a patient
    canvas.width = data.width;
    canvas.height = data.height;
    canvas.style.aspectRatio = `${data.size[0]} / ${data.size[1]}`;
    canvas.setAttribute("role", "img");
    caption.textContent = title;
    frame.append(canvas);
    figure.append(frame, caption);
    return { title, labels, figure, canvas, context: canvas.getContext("2d", { willReadFrequently: true }) };
  }

  async function choose(index) {
    const turn = ++wanted;
    const data = cases[index];
    const [base, ...maps] = await Promise.all([data.image, ...data.labels.map(({ uri }) => uri)].map(decode));
    if (turn !== wanted) return; // another case was chosen meanwhile
    const panels = [makePanel(data, "image", null)];
    data.labels.forEach(({ title }, map) => {
      panels.push(makePanel(data, title, classesOf(maps[map])));
    });
    current = { data, base, panels };
    ui.panels.replaceChildren(...panels.map(({ figure }) => figure));
    ui.about.textContent = data.about;
    ui.note.textContent = data.note;
    ui.side.hidden = ui.slices.hidden = data.picture;
    ui.case.value = index;
    ui.previous.disabled = index === 0;
    ui.next.disabled = index === cases.length - 1;
    ui.slice.max = data.slices.length - 1;
    ui.slice.value = data.start;
    draw();
  }

  function draw() {
    const { data, base, panels } = current;
    const position = Number(ui.slice.value);
    const opacity = Number(ui.opacity.value) / 100;
    const [pixels, z] = [data.width * data.height, data.slices[position]];
    for (const { title, labels, canvas, context } of panels) {
      const picture = context.createImageData(data.width, data.height);
      for (let pixel = 0, from = position * pixels; pixel < pixels; pixel++, from++) {
        const color = labels && labels[from] ? colors[labels[from] - 1] : null;
        for (let channel = 0; channel < 3; channel++) {
          const level = base[4 * from + channel];
          picture.data[4 * pixel + channel] = color ? level + opacity * (color[channel] - level) : level;
        }
        picture.data[4 * pixel + 3] = 255;
      }
      context.putImageData(picture, 0, 0);
      canvas.setAttribute("aria-label", `${title} of ${data.name}${data.picture ? "" : `, axial slice ${z}`}`);
    }
    ui.number.textContent = z;
    ui.slice.setAttribute("aria-valuetext", `slice ${z}, ${position + 1} of ${data.slices.length}`);
    ui.percent.textContent = `${ui.opacity.value}%`;
  }

  ui.case.addEventListener("change", () => choose(Number(ui.case.value)));
  ui.previous.addEventListener("click", () => choose(Number(ui.case.value) - 1));
  ui.next.addEventListener("click", () => choose(Number(ui.case.value) + 1));
  ui.slice.addEventListener("input", draw);
  ui.opacity.addEventListener("input", draw);
  document.getElementById("viewer").hidden = false;
  choose(0);
}
