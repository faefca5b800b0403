# Installs the library, moves the installed folder (it must be relocatable), builds the consumer
# against it and runs it. Arguments: BUILD_DIR, SOURCE_DIR, WORK_DIR, TORCH_DIR, GENERATOR.
function(run)
  execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/first)
file(RENAME ${WORK_DIR}/first ${WORK_DIR}/moved)
file(GLOB_RECURSE package_files ${WORK_DIR}/moved/*.cmake)
foreach(package_file IN LISTS package_files)
  file(STRINGS ${package_file} leaked REGEX "${SOURCE_DIR}|${BUILD_DIR}|site-packages")
  if(leaked)
    message(FATAL_ERROR "${package_file} holds a path of this machine: ${leaked}")
  endif()
endforeach()
run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/tests/consumer -B ${WORK_DIR}/build -G ${GENERATOR}
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${WORK_DIR}/moved -DTorch_DIR=${TORCH_DIR})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
run(${WORK_DIR}/build/consumer)
run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/examples/lora_domain -B ${WORK_DIR}/lora -G ${GENERATOR}
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${WORK_DIR}/moved -DTorch_DIR=${TORCH_DIR})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/lora)
set(tiny ${SOURCE_DIR}/tests/reference/tiny_llama)
run(${WORK_DIR}/lora/lora_domain ${tiny} ${tiny}/train.jsonl ${WORK_DIR}/adapter 3)
run(${WORK_DIR}/moved/bin/distill inspect ${WORK_DIR}/adapter --check --model ${tiny})
run(${WORK_DIR}/moved/bin/distill_train --version)
run(${WORK_DIR}/moved/bin/distill --version)
