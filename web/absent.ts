// Stands for modules that NiiVue loads for formats which the service neither writes nor takes.
export default {};
