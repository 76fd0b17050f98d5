// A volume with its labels, to scroll, to point at, to click in. Follows planes.js in one module.

const FILL = 0.5;
const HELP = "wheel or page keys: scroll; drag or arrow keys: cross-hair; click: report the voxel";

class Slices extends Planes {
  constructor(model, el) {
    super(model, el, "fmtutor-slices", HELP);
    const structures = model.get("structures");
    this.paints = new Map(structures.map(([n, name, hex]) => [n, [...rgbOf(hex), FILL]]));
    this.names = new Map(structures.map(([n, name]) => [n, name]));
  }

  paintOf(label) { return this.paints.get(label); }

  dragged(start, voxel) {
    if (start.button === "left") this.moveTo(voxel);
  }

  dropped() {}

  clicked({ button, shift }, voxel) {
    this.moveTo(voxel);
    this.model.send({ kind: "click", voxel, button, shift });
  }

  receive(content, buffers) {
    if (content.kind !== "volume") return;
    this.image = typed(buffers[0], content.image);
    this.labels = typed(buffers[1], content.labels);
    this.draw();
    this.root.dataset.ready = "true";
  }

  tell() {
    const structure = this.names.get(this.labels[this.offset(this.voxel)]) || "no label";
    this.readout.textContent = `${this.here()}   ${structure.replaceAll("_", " ")}`;
  }
}

export default serve(Slices);
