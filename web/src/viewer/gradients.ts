// NiiVue works out the surface gradients of every volume, two passes over all voxels, also where no light uses them.
import type { Niivue } from "@niivue/niivue";

/** The texture unit (gl.TEXTURE8) that NiiVue 0.69 takes for the first of its gradient passes, and for nothing else. */
const GRADIENT_PASS = 0x84c8;
const ONE_VOXEL = [3, 1, 1, 1];

/** From now on they are those of one voxel. Not with setVolumeRenderIllumination. */
export function withoutGradients(nv: Niivue): void {
  const refresh = nv.refreshLayers.bind(nv);
  const texture = nv.rgbaTex.bind(nv);
  nv.refreshLayers = (layer, index) => {
    const { hdr } = layer;
    const dims = hdr?.dims;
    nv.rgbaTex = (id, unit, size, isInit) => {
      const isPass = hdr && unit === GRADIENT_PASS;
      if (isPass) hdr.dims = ONE_VOXEL; // what the passes loop over, the last thing that a refresh does with it
      return texture(id, unit, isPass ? ONE_VOXEL : size, isInit);
    };
    try {
      refresh(layer, index);
    } finally {
      nv.rgbaTex = texture;
      if (hdr && dims) hdr.dims = dims;
    }
  };
}
