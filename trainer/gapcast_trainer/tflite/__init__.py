"""TFLite files: conversion from Keras, and changes of their graphs that do not change the forecasts."""
